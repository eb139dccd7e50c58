"""edu_align: turn an open chat model into a better tutor, by SFT and then DPO."""

__version__ = "0.1.0"
