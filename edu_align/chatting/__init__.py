"""Talking to a tutor: in a terminal, on a web page, and through files of prompts."""
