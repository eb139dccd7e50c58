"""Work that several runs share: computed once, kept on disk, and found by what it depends on."""
