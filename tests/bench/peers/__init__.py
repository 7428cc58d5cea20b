"""Others, each in an environment of its own: what runs there knows the standard library and one of them."""
