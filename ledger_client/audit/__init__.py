"""What an auditor does: collect, prove, tell the history, export it. Needs an RPC URL and a trust root, no
key.
"""
