"""One module a public source: pure functions from a row to a record, or to the reason why the row cannot be used.

The student is the user, the tutor the assistant. `SOURCE` at the end of each says where its rows are.
"""
