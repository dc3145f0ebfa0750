"""Twins: local stand-ins of the external systems, for the demo, the tests and authors.

A twin keeps to the system's own contract, not to what our connectors happen to ask of it, and it
imports nothing of the pipeline that it is there to prove. Nothing is imported here: who only
looks up where a twin serves should not pay for a web server.
"""
