"""The fields of an application of the benchmarks, for those who must not load what makes one."""

NUMBERS = ("annual_income_eur", "loan_amount_eur", "debt_to_income", "card_utilisation", "balance_eur", "payment_eur",
           "address_months", "employed_months", "open_lines", "all_credit_lines", "inquiries",
           "delinquencies", "since_delay_months", "public_records", "credit_file_months", "cash_flow_eur")  # fmt: skip
LEVELS = {"loan_purpose": 6, "housing_status": 4, "employment_status": 5, "sales_channel": 3}
