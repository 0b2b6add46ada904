"""What makes a person's skin: pigments, creases, short hairs and make-up, as textures over the atlas."""
