"""What a run will take, in memory, tokens and time, before anything is downloaded. Nothing heavy is imported here."""
