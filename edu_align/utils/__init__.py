"""Small tools that know nothing of tutors: hashes, files of rows."""
