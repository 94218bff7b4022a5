"""What people read: the benchmark's pages as HTML, Markdown, LaTeX and CSV."""
