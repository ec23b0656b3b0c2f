"""What stands between the app and the terminal: signals, errors, line filters, Textual's gaps."""
