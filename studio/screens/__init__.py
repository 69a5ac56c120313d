"""The pages' scripts; Streamlit runs them by their paths."""
