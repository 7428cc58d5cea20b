-- Take photo $1 from the desk; gives the job that was to size it, or nothing when there is no such photo.
delete from photo_desk.photo
where id = $1
returning sizing
