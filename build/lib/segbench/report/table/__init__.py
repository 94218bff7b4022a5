"""The contents of reports: one entry per model, with the CRF off and on, and the columns that show it."""
