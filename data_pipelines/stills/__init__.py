"""Photo-puppets: still photographs that become clip records, moved by exact geometry.

`drivers` are displacements of landmarks of people who speak, `motion` draws what each frame shows, `puppet` moves a
photograph, and `contact_sheet` draws records with their landmarks. The command is `data_pipelines.photo_puppets`.
"""
