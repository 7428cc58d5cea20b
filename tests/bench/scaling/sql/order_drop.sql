drop table customer_order
