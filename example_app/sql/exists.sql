-- Whether photo $1 is still on the desk.
select exists (select from photo_desk.photo where id = $1)
