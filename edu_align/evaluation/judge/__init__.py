"""An outside view: a language model behind an OpenAI-compatible endpoint compares tutor replies by MRBench's rubric."""
