-- A photo that has arrived, and the job that will size it. The caller's transaction holds both.
insert into photo_desk.photo (id, name, bytes, sizing)
values ($1, $2, $3, $4)
