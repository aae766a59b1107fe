"""`collabctl`: one file a sub-command. All but `models add` and `models verify` talk through `collab_sdk` alone."""
