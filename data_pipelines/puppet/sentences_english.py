"""English sentences, written for this project. Append only: a sentence's place decides its split."""

ENGLISH = """\
The baker put a warm loaf in my bag before I had even paid.
My brother plays the piano badly, but he plays it with great joy.
We walked along the river until the bridge came into view.
Please bring a map, because my phone never works up there.
She found a small blue boat half buried in the sand.
Nobody told me that the museum was closed on Mondays.
The old clock in the hall stopped a few minutes after midnight.
Maybe we should wait for the rain to pass before we leave.
He boils the potatoes first and then fries them in butter.
I have never seen so many butterflies in a single garden.
Our neighbour paints his fence a different colour every spring.
Could you tell me whether this bus stops near the library?
The path climbs through a pine forest and ends at a lake.
Five friends met on Friday to fix a very fine violin.
They moved the meeting to Thursday, so we have time to prepare.
My grandmother keeps her best recipes in a tin above the stove.
The ferry was late, and most of the passengers fell asleep.
Wherever we went that summer, somebody was playing music.
I forgot my umbrella, so of course it poured all afternoon.
The doctor said that a long walk would help more than any pill.
Bob built a bookshelf from the boards of an abandoned barn.
You can borrow my bicycle as long as you bring it back by four.
A thin layer of ice had formed on the pond during the night.
The children gave the puppy a name before they reached home.
If the oven is too hot, the bread will burn on the bottom.
We heard the waves long before we could see the ocean.
That painter mixes her own colours from plants and stones.
Every evening the same fox crosses the field behind our house.
The train to the coast leaves from platform number nine.
I would rather read a good book than watch another film.
Peter picked a bowl of plums and gave most of them away.
The teacher asked us to measure the shadow of a tall tree.
Few people know that this village once had a famous market.
She whispered something funny, and the whole row began to laugh.
The mechanic opened the bonnet and shook his head slowly.
Put the soup on the table before it gets cold, would you?
My mother remembers every birthday in the family, even the cousins.
The cabin has no electricity, but there is plenty of firewood.
We bought four pounds of apples and a jar of thick honey.
The wind blew my hat over the wall and into the bushes.
Somebody left a pair of muddy boots in front of my door.
The new library has a room where you may talk out loud.
He never raises his voice, and yet everybody listens to him.
The moon was so bright that the trees threw long shadows.
Would you mind moving your car a little bit to the left?
It took me a whole week to learn how to make this knot.
A basket of lemons stood on the step, with no note at all.
The band played until the very last guest had gone home.
I think the blue shirt fits you better than the brown one.
The bees come back to the lavender on the first warm morning.
Very few visitors ever move beyond the front gate.
The map shows a shorter way, but it crosses a deep valley.
Somewhere in the attic there must be a box of old photographs.
She taught herself to juggle with oranges during the holidays.
The bill was higher than we expected, but the food was superb.
Most mornings I make a pot of tea and sit by the window.
The pilot told us about the storm in a perfectly calm voice.
Have you ever tried to sleep in a hammock during a thunderstorm?
The stone bridge is older than any other building in town.
We planted beans, peppers and a few rows of purple carrots.
The puppet in the window looked as if it wanted to speak.
I put my keys in my pocket, and now they have vanished.
The farmer waved at us from the top of an enormous haystack.
His uncle repairs watches in a shop no wider than a door.
They say the soup tastes better when it is made the day before.
You should have seen her face when the lights came back on.
The boat drifted past the lighthouse without making a sound.
My favourite jumper shrank in the wash, so my sister wears it now.
The judge asked for silence, and the room became very quiet.
The first snow of the year always surprises the whole city.
On the third floor you will find maps, globes and a telescope.
The gardener moves the tender plants inside before November.
We missed the beginning of the play because of the traffic.
A young woman with a violin case sat down beside me.
Do not feed the ducks with bread, they prefer peas and oats.
The recipe asks for butter, but olive oil works as well.
I met him by chance at a petrol station in the mountains.
The river is low this year, and the old mill stands dry.
Both of my cousins became firemen in the same small town.
She painted the ceiling first and the walls on the following day.
The shop around the corner sells buttons, ribbons and thread.
When the power failed, we lit candles and told each other stories.
The dog barked at the postman every day except on Sunday.
Maybe the simplest answer is the one that nobody believes.
My room has a view of rooftops, chimneys and a lot of sky.
The bakery opens at five, and by seven the rolls are gone.
I would love to visit a place where it never snows.
The swimmer paused at the buoy and looked back at the beach.
A bright red kite hung in the branches for half the summer.
We laughed so much that the people upstairs knocked on the floor.
The conductor lifted her baton, and everybody held their breath.
Before you paint a wall, you have to fill the holes and sand it.
The cheapest tickets were sold out within a couple of minutes.
The farmer's market has the best peaches from June to August.
I wrote the address on my hand, and then I washed my hands.
The museum keeps a giant whale skeleton in the main hall.
The cat prefers the cardboard box to the basket that we bought.
Where the two rivers meet, the water has two different colours.
The mayor promised a new bridge, but nobody quite believed him.
It is much easier to begin a diary than to keep one.
You put up the tent, and I will look for some dry wood.
The violin had been in the family for more than a hundred years.
Our plumber whistles the same tune whenever he fixes a pipe.
In spring the whole valley smells of apple blossom and mint.
The bus was full, so we walked home through the empty park.
Her first job was to wash bottles in a perfume factory.
They found the missing glove under a pile of wet leaves.
The weather forecast was wrong for the fifth time this month.
My father bakes a plum cake whenever he has something to celebrate.
The lamp above the mirror flickers when the lift goes past.
The shepherd knew the name of every single sheep in the flock.
Keep the receipt, because you may want to exchange the shoes.
A warm breeze moved the curtains, and the paper fell off the desk.
The bookshop smells of leather, dust and freshly made coffee.
We could hear the frogs as soon as the sun had gone down.
The nurse told a joke, and the boy forgot about his broken arm.
I am afraid the last piece of pie has already been eaten.
The carpenter measures everything twice and cuts it only once.
She bought the house for its view and stayed for the neighbours.
The smoke from the bonfire drifted slowly over the village.
My bag was so heavy that the strap broke at the station.
The parrot repeats every word that begins with the letter b.
We followed the footprints until they ended at the frozen stream.
He reads the newspaper from the last page to the first.
The best thing about the hotel was the swimming pool on the roof.
Most of the fruit was ripe, but the pears were still too firm.
I was about to give up when the engine finally started.
The twins finish each other's sentences and never notice it.
The fog lifted, and far below us we saw the whole bay.
Thank you for the flowers, they brighten up the entire room.
The baby fell asleep the very moment we stopped the car.
You will need warm socks, a good lamp and plenty of patience.
The chef tastes everything with the same small silver spoon.
The lake is so clear that you can count the pebbles at the bottom.
My watch runs five minutes fast, and that is how I like it.
The audience clapped for so long that the singer came back twice.
We paid for the room in advance, which was probably a mistake.
The path was blocked by a tree that had fallen in the storm.
Her handwriting is beautiful, but nobody in the office can read it.
The oldest oak in the park has a door painted on its trunk.
I found an empty bottle on the beach with a map inside it.
The vegetable soup needs pepper, salt and another half an hour.
The postcard arrived a month after we had come home.
Everybody brought a dish, and somehow there were seven puddings.
The workshop is open to anyone who wants to learn a craft.
The fisherman mends his nets in the shade of the harbour wall.
We built a ramp so that the old dog could climb into the van.
The play was about a thief who gives back whatever he steals.
Turn left behind the church and follow the road up the hill.
The last ship of the evening blew its horn three times.
The pump behind the barn brings up the purest water for miles.
My aunt knits while she watches football and never drops a stitch.
The elevator was out of order, so we climbed to the twelfth floor.
He saved for years to buy a motorbike that he hardly ever rides.
Beavers built a dam, and now the meadow has become a pond.
The bride's brother gave a speech that made the whole room cry.
She keeps a pebble from every beach that she has ever visited.
The volume was far too low, so I missed the first few words.
What would you do if you had one more hour every day?
I bought a map of the moon and hung it above my bed.
The blind man next door can name every bird by its voice.
The rope bridge moved with each step, but it felt quite safe.
Every member of the club may bring up to five friends.
Somehow the pianist played on while the roof was leaking.
The smell of fresh paint filled the corridor for several days.
We are making jam today, so the kitchen is rather sticky.
The captain asked for volunteers, and I put up my hand.
A very small elephant stood in the middle of the nursery.
The village shop will deliver milk, bread and the morning paper.
In my opinion the film was better than the book for once.
The mountain hut serves pancakes as big as a bicycle wheel.
She has a habit of humming when she thinks about numbers.
The problem with this umbrella is that it only opens indoors.
Please move the plant, because it blocks the view of the bay.
The gardener shaped the hedge like a whale with a fountain.
Half of the team was ill, but they still won by five points.
""".splitlines()
