"""Which networks the shared-prefix forward is exact for. Light, so that a plan can ask."""

# Decoders that take position ids and a 4D mask, and compute nothing else across positions.
SUPPORTED = ("llama", "mistral", "qwen2", "qwen3")
