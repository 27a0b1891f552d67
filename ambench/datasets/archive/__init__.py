"""Series in the text files of the UCR archive: what one file holds, and which two belong together."""
