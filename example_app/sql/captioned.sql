-- The caption of photo $1. A second run writes the same again.
update photo_desk.photo
set caption = $2
where id = $1
