"""The commands: `main` and one file for each; they read options, ask the rooms below, and print."""
