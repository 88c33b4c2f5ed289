"""Result rows and files, and the analyses that are made of them again."""
