"""What a lender did beside a decision: it offered other terms, was answered, or asked for what an application lacks."""
