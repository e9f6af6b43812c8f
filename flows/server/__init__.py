"""The Prefect server: started where there is none, waited for where it is away."""
