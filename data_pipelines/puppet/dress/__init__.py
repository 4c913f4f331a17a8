"""What a puppet wears and stands in front of: hair, beard, clothes, accessories, skin marks, colours, backdrop."""
