"""Sentences in other languages, written for this project. Append only: a sentence's place decides its split."""

_GERMAN = """\
Der Bäcker schiebt am frühen Morgen die ersten Brote in den Ofen.
Meine Schwester übt jeden Abend eine halbe Stunde auf ihrer Geige.
Kannst du bitte das Fenster öffnen, es ist furchtbar warm hier.
Wir haben den Bus verpasst und sind deshalb zu Fuß gegangen.
Auf dem Markt gibt es heute frische Pflaumen und guten Käse.
Der alte Baum vor dem Haus ist im Sturm umgefallen.
Ich würde gern wissen, wem dieser blaue Mantel gehört.
Im Sommer schwimmen wir abends oft noch im kleinen See.
Die Brücke wird gebaut, damit niemand mehr mit dem Boot fahren muss.
Mein Opa pfeift immer, wenn er den Garten gießt.
Heute probieren wir ein Rezept mit Birnen, Bohnen und Speck.
Niemand wusste, wohin die weiße Katze verschwunden war.
Zum Frühstück mag ich am liebsten Brot mit Honig und Butter.
Über den Bergen hängen dicke Wolken, vielleicht regnet es bald.
Sie hat das Bild selbst gemalt und ihrem Bruder geschenkt.
Wenn du möchtest, können wir morgen zusammen ins Museum gehen.
Der Zug nach Hamburg fährt heute von einem anderen Gleis ab.
Am Abend saßen alle um das Feuer und erzählten Geschichten.
Bitte vergiss nicht, die Blumen auf dem Balkon zu gießen.
Die Kinder bauen aus Pappe ein Schiff mit zwei Masten.
""".splitlines()

_FRENCH = """\
Ma grand-mère prépare une soupe aux poireaux tous les vendredis.
Nous avons marché au bord du fleuve jusqu'au vieux pont.
Le boulanger ouvre sa boutique bien avant le lever du soleil.
Peux-tu fermer la porte, s'il te plaît, il fait un peu froid.
Les enfants ont trouvé un petit bateau bleu sur la plage.
Il pleut depuis ce matin, mais le ciel devient plus clair.
Mon frère répare des vélos dans un garage près de la mairie.
Elle garde toutes ses photos dans une boîte en bois.
Le train pour la montagne part toujours avec du retard.
On mange mieux dans ce petit restaurant que partout ailleurs.
J'ai perdu mon parapluie quelque part entre la gare et chez toi.
Le musée est fermé lundi, nous irons donc au marché.
Quelqu'un joue du piano derrière la fenêtre ouverte.
Tu devrais goûter la confiture de prunes de ma voisine.
Les abeilles reviennent dès les premiers beaux jours du printemps.
Le vent a emporté mon chapeau de l'autre côté du mur.
Je voudrais apprendre à dessiner avant la fin de cette année.
Au bout du chemin, on voit enfin la mer et le phare.
Personne ne savait pourquoi la lumière restait allumée.
Mon oncle raconte la même histoire à chaque repas de famille.
""".splitlines()

_SPANISH = """\
Mi abuela prepara pan todos los domingos por la mañana.
Perdimos el autobús y volvimos a casa por el parque.
El barco azul sale del puerto antes de las siete.
Por favor, pon los vasos limpios encima de la mesa.
Nadie sabe por qué el reloj de la plaza se ha parado.
Mis primos viven en un pueblo pequeño cerca del mar.
Ayer compramos manzanas, queso y un bote de miel.
Cuando llueve, el gato duerme debajo de la cama.
La profesora nos pidió un poema sobre el viento.
Subimos al monte muy temprano para ver el amanecer.
¿Me puedes prestar tu bicicleta hasta mañana por la tarde?
El panadero conoce el nombre de todos los vecinos.
Encontré una foto antigua entre las páginas del libro.
Si tienes tiempo, ven a probar la sopa de tomate.
Los niños bailaban mientras la banda tocaba en la calle.
Aquel puente es más viejo que cualquier otra casa de la ciudad.
Me gusta beber café despacio y mirar por la ventana.
El perro ladró toda la noche porque había tormenta.
Vamos a pintar la puerta de un verde muy suave.
El tren llegó con retraso, pero nadie se enfadó.
""".splitlines()

_ITALIAN = """\
Mio nonno compra il pane ogni mattina nella stessa bottega.
Abbiamo perso l'autobus e siamo tornati a casa a piedi.
La barca blu parte dal porto prima delle sette.
Puoi aprire la finestra, per favore, qui fa molto caldo.
Nessuno sa perché l'orologio della piazza si è fermato.
Mia sorella suona il violino meglio di tutti noi.
Al mercato ho preso pomodori, formaggio e un po' di basilico.
Quando piove il gatto dorme sempre sopra il mio cappotto.
Il ponte vecchio unisce le due parti della città.
Domani proviamo a salire fino al lago di montagna.
Ho trovato una vecchia fotografia dentro un libro di poesie.
Il fornaio saluta ogni cliente con una battuta diversa.
Se hai tempo, vieni ad assaggiare la zuppa di fagioli.
I bambini hanno costruito un castello di sabbia enorme.
Il treno per Napoli arriva con dieci minuti di ritardo.
Mi piace bere il caffè piano e guardare fuori.
Il vento ha portato il mio cappello oltre il muro.
Vorrei imparare a dipingere prima della fine dell'anno.
Le api tornano sui fiori appena l'aria diventa tiepida.
Qualcuno ha lasciato un mazzo di fiori davanti alla porta.
""".splitlines()

_PORTUGUESE = """\
Minha avó faz um bolo de milho todo sábado de manhã.
Perdemos o ônibus e voltamos para casa pelo parque.
O barco azul sai do porto antes das sete horas.
Você pode abrir a janela, por favor, está muito quente aqui.
Ninguém sabe por que o relógio da praça parou.
Meu irmão toca violão na varanda quando o dia termina.
Na feira comprei bananas, queijo e um pote de mel.
Quando chove, o gato dorme embaixo da minha cama.
A professora pediu um poema sobre o vento e o mar.
Subimos o morro bem cedo para ver o sol nascer.
Você me empresta a sua bicicleta até amanhã de tarde?
O padeiro conhece todas as pessoas desta rua pelo nome.
Encontrei uma foto antiga dentro de um livro de receitas.
Se tiver tempo, venha provar a sopa de abóbora.
As crianças dançavam enquanto a banda tocava na praça.
Aquela ponte é mais velha do que qualquer casa da vila.
Gosto de beber café devagar e olhar pela janela.
O cachorro latiu a noite inteira por causa da tempestade.
Vamos pintar a porta de um verde bem claro.
O trem chegou atrasado, mas ninguém reclamou.
""".splitlines()

_POLISH = """\
Moja babcia piecze chleb w każdą sobotę rano.
Spóźniliśmy się na autobus i wróciliśmy do domu piechotą.
Niebieska łódka stoi przy brzegu od początku lata.
Czy możesz zamknąć okno, bo robi się naprawdę zimno?
Nikt nie wie, dlaczego zegar na wieży przestał bić.
Mój brat maluje płot zawsze na inny kolor.
Na targu kupiłam jabłka, biały ser i słoik miodu.
Kiedy pada deszcz, kot śpi pod moim łóżkiem.
Stary most łączy obie części naszego miasta.
Jutro spróbujemy dojść aż do górskiego jeziora.
W książce znalazłem bardzo stare zdjęcie mojej ciotki.
Piekarz zna po imieniu wszystkich sąsiadów.
Jeśli masz czas, przyjdź spróbować zupy z buraków.
Dzieci zbudowały z pudełek ogromny statek.
Pociąg do Poznania odjeżdża dziś z innego peronu.
Lubię pić kawę powoli i patrzeć przez okno.
Wiatr porwał mój kapelusz i zaniósł go za mur.
Pies szczekał całą noc, bo bał się burzy.
Wieczorem wszyscy usiedli przy ogniu i śpiewali.
Ktoś zostawił bukiet kwiatów przed moimi drzwiami.
""".splitlines()

_DUTCH = """\
De bakker op de hoek bakt het beste brood van de stad.
Wij hebben de bus gemist en zijn door het park gelopen.
Mijn broer speelt piano, maar hij oefent bijna nooit.
Kun je het raam even dichtdoen, want het wordt koud.
Niemand weet waarom de klok op het plein stilstaat.
Mijn oma bewaart haar foto's in een houten doos.
Op de markt kocht ik appels, kaas en een pot honing.
Als het regent slaapt de kat onder mijn bed.
De oude brug verbindt de twee delen van het dorp.
Morgen proberen we tot aan het meer te wandelen.
De buurman verft zijn hek elk voorjaar in een andere kleur.
Ik ben mijn paraplu ergens in de trein vergeten.
Kom gerust langs om de pompoensoep te proeven.
De kinderen bouwden van karton een enorm schip.
De trein naar Breda vertrekt vandaag van een ander spoor.
Ik drink mijn koffie langzaam en kijk naar buiten.
De wind blies mijn hoed over de muur in het water.
De hond blafte de hele nacht omdat het onweerde.
's Avonds zaten we allemaal bij het vuur te praten.
Iemand heeft bloemen voor onze deur gelegd.
""".splitlines()

OTHERS: dict[str, list[str]] = {
    "de": _GERMAN,
    "fr": _FRENCH,
    "es": _SPANISH,
    "it": _ITALIAN,
    "pt": _PORTUGUESE,
    "pl": _POLISH,
    "nl": _DUTCH,
}
