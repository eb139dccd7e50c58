"""Work that several runs share: computed once and kept on disk, or loaded once and kept in the process."""
