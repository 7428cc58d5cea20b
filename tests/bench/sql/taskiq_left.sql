select count(*) from taskiq_messages
