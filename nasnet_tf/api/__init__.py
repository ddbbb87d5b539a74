"""What Python programs and notebooks call in the place of commands, with the same recipes and work folders."""
