"""Reviews on request: a person looks at a decision again, because the applicant asks for it."""
