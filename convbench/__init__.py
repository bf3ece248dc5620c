"""convbench: benchmark and evaluation toolkit for conversational search.

Importing the package stays cheap: nothing here pulls in torch, transformers, faiss or pyarrow (see ``tests/test_imports.py``).
"""

__version__ = "0.1.0"
