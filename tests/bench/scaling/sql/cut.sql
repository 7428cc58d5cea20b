do $$
begin
  for number in 0..15 loop
    execute format(
      'create table asyncjobs.job_q%s partition of asyncjobs.job for values in (%L) with (fillfactor = 50)',
      number, 'q' || number
    );
  end loop;
end
$$
