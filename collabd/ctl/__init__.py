"""`collabctl`: one file a sub-command. All but those for packages, and `doctor`, talk through `collab_sdk` alone."""
