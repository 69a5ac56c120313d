"""The studio: a page on 127.0.0.1 on which models are composed and watched. Streamlit lives here and nowhere else."""
