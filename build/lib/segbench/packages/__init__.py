"""A trained model as one folder that carries everything: it is moved, served and used without the project."""
