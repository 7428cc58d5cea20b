-- Who the server thinks it speaks with, and when it gives up a silent peer; asked on the link. No addresses: a
-- socket of the server's own machine. Walks nothing.
select
  host(inet_client_addr()) as client, inet_client_port() as client_port,
  host(inet_server_addr()) as server, inet_server_port() as server_port,
  current_setting('tcp_user_timeout') as user_timeout,
  current_setting('tcp_keepalives_idle') as keepalives_idle
