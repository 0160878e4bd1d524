"""JSON-RPC methods as a table of small functions; the modules here register themselves when ``dispatch``
imports them.
"""
