"""What people look at. Pages show tables, tables hold drawings; imports go in that direction only."""
