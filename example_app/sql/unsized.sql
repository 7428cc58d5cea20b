-- Whether photo $1 is still to be sized, or is gone, or another run of its job was faster.
-- Locks the row until the transaction ends, so that of two runs one decides what follows.
select exists (
  select from photo_desk.photo where id = $1 and sized_at is null for update
)
