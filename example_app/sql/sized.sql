-- The sizes of photo $1 are on the disk; job $4 asks for a caption; the original may go after $5.
update photo_desk.photo
set sized_at = now(), width = $2, height = $3, captioning = $4, kept_until = now() + $5
where id = $1
