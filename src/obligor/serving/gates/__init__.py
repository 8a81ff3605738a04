"""Gates: checks outside the score, each asked of an applicant before a decision."""
