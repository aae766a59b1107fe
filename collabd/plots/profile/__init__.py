"""The picture of `collabctl profile --plot`: what each cut takes and sends, and what plans promise."""
