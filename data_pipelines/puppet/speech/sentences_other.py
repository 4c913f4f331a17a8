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
Wirklich? Davon hat mir bisher niemand etwas erzählt.
Pass auf, die Stufe ist vom Regen ganz rutschig!
Wo hast du bloß die Schere hingelegt?
Ach, wie schön, die Kirschbäume blühen schon!
Fünf Vögel flogen über den verschneiten Fluss.
Entschuldigung, ist dieser Platz am Fenster noch frei?
Meine Tante backt Pflaumenkuchen, wenn Besuch kommt.
Warum pfeift der Wasserkessel, obwohl der Herd aus ist?
Der Müller bewahrt sein Mehl in großen blauen Säcken auf.
So ein Pech! Jetzt haben wir die Fähre knapp verpasst.
Ich glaube, du hast den Schlüssel im Auto vergessen.
Opa behauptet, früher seien die Winter viel kälter gewesen.
Könntest du mir morgen beim Umzug helfen?
Auf der Bühne stand nur ein Stuhl und darauf eine Trompete.
Bravo, das war der beste Auftritt des ganzen Abends!
Der Fuchs schlüpfte durch ein Loch unter dem Zaun.
Wer möchte noch ein Stück Apfelstrudel mit Vanillesoße?
Nein, danke, ich trinke lieber einen Becher Pfefferminztee.
Über Nacht hat jemand ein Gesicht an die Mauer gemalt.
Komm bitte pünktlich, sonst fangen wir ohne dich an.
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
Vraiment ? Personne ne m'en avait jamais parlé.
Attention, la marche est toute mouillée !
Où as-tu bien pu poser mes lunettes ?
Quelle belle surprise, le pommier est en fleurs !
Bonjour, est-ce que cette place est encore libre ?
Mon voisin élève cinq poules et un paon très bavard.
Pourquoi le chien aboie-t-il devant un mur vide ?
Pas de panique, nous avons encore une bonne demi-heure.
Elle a bu son chocolat, puis elle est partie sans un mot.
Bravo ! Je n'ai jamais vu un aussi beau feu d'artifice.
Tu veux du beurre ou de la confiture sur ton pain ?
Un vieux phoque dort au soleil sur le ponton du port.
Je crois que nous avons tourné en rond toute la matinée.
Le facteur connaît chaque chat du quartier par son nom.
Quand il a soufflé les bougies, tout le monde a applaudi.
Dommage, la boutique de jouets vient juste de fermer.
Peux-tu m'aider à pousser cette voiture jusqu'au pont ?
Au-dessus du lac, la brume monte peu à peu.
Ma tante fabrique des bijoux avec du bois et du verre.
Oui, bien sûr, venez tous dîner à la maison jeudi !
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
¿De verdad? A mí nadie me había dicho nada.
¡Cuidado, que el suelo está recién fregado!
¿Dónde habré puesto las llaves del coche?
¡Qué maravilla, ya han florecido los almendros!
Buenos días, ¿queda algún sitio libre junto a la ventana?
Mi vecina cría cinco gallinas y un pavo muy ruidoso.
¿Por qué ladra el perro delante de una pared vacía?
Tranquilo, todavía nos queda media hora larga.
Se bebió el chocolate y se marchó sin decir palabra.
¡Bravo! Nunca había visto unos fuegos artificiales tan bonitos.
¿Prefieres mantequilla o mermelada de ciruela en el pan?
Un búho viejo vive en la torre del ayuntamiento.
Creo que llevamos toda la mañana dando vueltas.
El cartero sabe cómo se llama cada gato del barrio.
Cuando sopló las velas, todos empezaron a aplaudir.
Lástima, la tienda de juguetes acaba de cerrar.
¿Me ayudas a empujar este mueble hasta el pasillo?
La niebla sube poco a poco por encima del embalse.
Mi tío fabrica flautas con madera de bambú.
Sí, claro, venid todos a cenar el jueves a casa.
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
Davvero? A me nessuno aveva detto niente.
Attento, il gradino è ancora bagnato!
Dove avrò mai messo le forbici buone?
Che meraviglia, il ciliegio è già in fiore!
Buongiorno, è libero questo posto vicino al finestrino?
La mia vicina alleva cinque galline e un pavone.
Perché il cane abbaia davanti a un muro vuoto?
Niente paura, abbiamo ancora una buona mezz'ora.
Ha bevuto la cioccolata ed è uscito senza una parola.
Bravi! Non ho mai visto fuochi d'artificio così belli.
Preferisci il burro o la marmellata di prugne sul pane?
Un vecchio gufo abita nel campanile della chiesa.
Credo che stiamo girando in tondo da stamattina.
Il postino conosce per nome tutti i gatti del quartiere.
Quando ha soffiato sulle candeline, tutti hanno applaudito.
Peccato, il negozio di giocattoli ha appena chiuso.
Mi aiuti a spingere questo armadio fino al corridoio?
La nebbia sale piano piano sopra le acque del fiume.
Mia zia costruisce burattini con legno e stoffa.
Sì, certo, venite tutti a cena da noi giovedì!
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
É mesmo? Ninguém tinha me contado nada disso.
Cuidado, o degrau ainda está molhado!
Onde será que eu deixei a chave do portão?
Que maravilha, a jabuticabeira já está florida!
Bom dia, este lugar perto da janela está livre?
Minha vizinha cria cinco galinhas e um pavão barulhento.
Por que o cachorro está latindo para uma parede vazia?
Calma, ainda temos uma boa meia hora pela frente.
Ele bebeu o chocolate e saiu sem dizer uma palavra.
Bravo! Nunca vi fogos de artifício tão bonitos.
Você prefere manteiga ou geleia de ameixa no pão?
Uma coruja velha mora na torre da prefeitura.
Acho que estamos dando voltas desde cedo.
O carteiro sabe o nome de todos os gatos do bairro.
Quando ela soprou as velas, todo mundo bateu palmas.
Que pena, a loja de brinquedos acabou de fechar.
Você me ajuda a empurrar este armário até o corredor?
A neblina sobe aos poucos por cima da lagoa.
Meu tio faz flautas de bambu e bonecos de pano.
Sim, claro, venham todos jantar aqui na quinta!
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
Naprawdę? Nikt mi o tym wcześniej nie mówił.
Uważaj, ten stopień jest jeszcze mokry!
Gdzie ja mogłem położyć te nożyczki?
Jak pięknie, wiśnie już zakwitły!
Dzień dobry, czy to miejsce przy oknie jest wolne?
Moja sąsiadka hoduje pięć kur i bardzo głośnego pawia.
Dlaczego pies szczeka na pustą ścianę?
Spokojnie, mamy jeszcze dobre pół godziny.
Wypił herbatę z miodem i wyszedł bez słowa.
Brawo! Nigdy nie widziałem tak pięknych fajerwerków.
Wolisz masło czy powidła śliwkowe na chlebie?
Stara sowa mieszka na wieży ratusza.
Chyba od rana kręcimy się w kółko.
Listonosz zna imiona wszystkich kotów na osiedlu.
Kiedy zdmuchnęła świeczki, wszyscy zaczęli klaskać.
Szkoda, sklep z zabawkami właśnie zamknęli.
Pomożesz mi przepchnąć tę szafę do korytarza?
Mgła powoli podnosi się znad rzeki.
Mój wujek robi flety z drewna i kukiełki z filcu.
Tak, oczywiście, przyjdźcie wszyscy w czwartek na kolację!
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
Echt waar? Daar heeft niemand mij iets over verteld.
Pas op, de stoep is glad van de regen!
Waar heb ik die schaar nou weer neergelegd?
Wat prachtig, de perenboom staat al in bloei!
Goedemorgen, is deze plek bij het raam nog vrij?
Mijn buurvrouw heeft vijf kippen en een luidruchtige pauw.
Waarom blaft de hond tegen een lege muur?
Rustig maar, we hebben nog ruim een half uur.
Hij dronk zijn chocolademelk op en vertrok zonder een woord.
Bravo! Zo'n mooi vuurwerk heb ik nog nooit gezien.
Wil je boter of pruimenjam op je boterham?
In de toren van het stadhuis woont een oude uil.
Volgens mij lopen we al de hele ochtend in een kring.
De postbode kent alle katten van de buurt bij naam.
Toen ze de kaarsjes uitblies, begon iedereen te klappen.
Jammer, de speelgoedwinkel is net dichtgegaan.
Help je me even om deze kast naar de gang te duwen?
Boven de rivier trekt de mist langzaam op.
Mijn oom maakt fluiten van bamboe en poppen van vilt.
Ja, natuurlijk, kom donderdag allemaal bij ons eten!
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
