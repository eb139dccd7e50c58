"""Where numbers go while a run goes on."""
