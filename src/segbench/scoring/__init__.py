"""Label maps to counts, counts to scores, and how sure the scores are."""
