"""What people and plots read: the results as a web page, Markdown, LaTeX and tables."""
