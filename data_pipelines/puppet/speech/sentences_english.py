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
Really? I thought the museum was free on the first Sunday.
No way! You finished the whole puzzle in one afternoon?
Well, if nobody minds, I will take the window seat.
Good morning! Did you sleep well in the new bed?
Sorry, could you say that again a little more slowly?
Of course I remember you; we shared a boat to the island.
What a beautiful bowl! Did you make it yourself?
Be careful with that box, it is full of old records.
Why on earth would anybody paint a bathroom black?
Yes, please, and a small pot of mint tea as well.
Oh, how wonderful! The cherry trees are already in flower.
How far is it from here to the foot of the mountain?
Stop! The bridge ahead is closed for repairs.
I suppose you are right, but I still prefer the old one.
Who left the freezer open overnight?
You must be joking! That vase is worth more than my car.
Let me think about it for a moment.
Five more minutes, please, the film is nearly over.
When will the bus to the airport be here?
Both of us were wrong, as it turns out.
Thank goodness! I was afraid I had lost my passport.
Which of these two photographs do you like better?
It was nothing, really; anyone would have done the same.
Hurry up, or we will miss the beginning of the show!
Do you believe that whales can recognise each other's voices?
Never mind, we can always try again on Wednesday.
Hello, this is the front desk, how may I help you?
My goodness, look at the size of that pumpkin!
Would anyone like the last piece of blueberry pie?
I beg your pardon, I did not mean to push you.
What if we moved the sofa to the other side of the room?
Perfect! That is exactly the shade of blue I wanted.
She asked me twice, and twice I could not answer.
Isn't it strange that nobody ever uses this door?
Keep going, you are almost at the top!
I have no idea where the wolves go during the summer.
Where did you put the scissors after you wrapped the gift?
He bowed, he smiled, and then he dropped the whole tray.
Enough for today; we will move the wardrobe tomorrow.
Who would like to feed the goats this morning?
A fool could see that the shelf is not level.
Please forgive me, I completely forgot about our appointment.
How many people fit into that tiny elevator?
Bravo! I have never heard it played with so much feeling.
Maybe it is a badger, or maybe just a very round cat.
The robin built her nest inside an abandoned boot.
You were supposed to beat the eggs before adding the flour.
Above the roof of the mill, two storks were circling.
We measured the room four times and got four different results.
Do me a favour and water the basil while I am away.
The chimney sweep waved from the roof, black from top to toe.
Her voice was so low that we all leaned forward to hear it.
If you whistle near the stable, the pony comes running.
Purple clouds piled up behind the town hall.
The poem has only four lines, but I can never remember the third.
My thumb hurts because I missed the nail with the hammer.
They argued about the route until the petrol was gone.
The cook threw a pinch of pepper over his shoulder.
From the balcony you can watch the boats come in at dusk.
Whoever borrowed my ladder, please bring it back!
The vet says that our old rabbit needs fewer carrots.
In the beginning the violins whisper, and in the end they shout.
The pharmacy is open, but the shoe shop has moved.
Two boys were blowing soap bubbles from the top of the slide.
Some say the lake has no bottom; I say nobody ever measured it.
She folded the map the wrong way, as everyone does.
There is a photograph of the whole family in front of the barn.
Our flight was full of people in wonderful woollen hats.
The thief took the frame and left the painting on the floor.
I would never have found the path without your footprints.
A good joke needs a pause just before the end.
Few things smell better than bread on a frosty morning.
Whose turn is it to choose the music?
The puppy chewed up my homework. Honestly, it really did!
Move your pawn, Paul, we do not have all evening.
Mum bought a pump for the pond, and papa put it together.
The bumblebee bumped into the window and buzzed off again.
Above all, never leave five hungry foxes alone with the food.
We vowed to leave the very same evening, fog or no fog.
Phoebe found the fifth volume behind a vase of violets.
Who knew that you could grow rice on a rooftop?
The wooden wheel went round with a woeful sound.
You choose the shoes, and I will choose the route.
Blue shoes, brown boots, and not one pair that fits.
The owl flew over the low wall without a sound.
The wolf in the story was only ever looking for company.
Snow on the roof always makes the whole house quiet.
Now that you mention it, the room does look larger.
Our mayor wore a yellow raincoat to her own wedding.
I owe you an apology and probably a new umbrella.
Half past seven? That is far too early for me!
Say what you like, but this soup has been burned.
The baker's boy pedalled uphill with a basket of buns.
My best pupil builds model planes from matches and paper.
Papa made up a bedtime story about a bear with a big umbrella.
Nobody moved, nobody spoke, and then the lamp went out.
Have a look at this beetle; it shines like a drop of oil.
There must be some mistake: I ordered the mushroom pie.
We were about to leave when the phone rang four times.
What happened to the fountain that used to stand here?
Once the paint is dry, we can hang the mirror.
Could somebody please turn the volume down a bit?
I can hardly believe that you walked all that way barefoot!
The waiter forgot our water, but he brought us five forks.
Our cat thinks that every cushion belongs to her.
The new nurse is kind, quick and very good with numbers.
Unless the fog lifts, none of the planes can leave.
Mind the step! Too late, I am afraid.
First wash the rice, then leave it alone for an hour.
The mirror made the small room look like a ballroom.
They say hello to every dog, but never to the owners.
Do you want the good news first, or the bad news?
A mouse had moved into the piano and was raising a family.
I swear that I locked the door before I went upstairs.
The longer you wait, the more it will cost.
Fine, you win! The map was upside down all the time.
Would you rather be able to fly or to breathe under water?
On the way back we counted only three red lights.
The swing squeaks, the gate squeaks, and so does my bike.
Tomorrow will be warmer, with a few showers in the evening.
My uncle can bake, sew and juggle, but he cannot park.
What do you mean, there is no more coffee?
Far away, somebody was chopping wood in a steady rhythm.
The bell rang, the doors flew open, and out they all poured.
The professor wrote one word on the board and sat down.
I love this song! Turn it up and open the windows.
Is it me, or is the floor moving under our feet?
The parcel was larger than the postwoman who carried it.
Between you and me, I have never liked beetroot.
You may put up your tent anywhere above the waterfall.
Marble is cold, wood is warm, and this chair is neither.
Watch out for the puddle! Oh well, wet feet again.
That is the funniest thing I have heard all week.
Every Wednesday, the choir practises above the butcher's shop.
I will call you as soon as we arrive at the harbour.
The bronze horse in the square has been polished by a million hands.
Please stay for supper; there is plenty for everyone.
Why not? It might even be fun.
""".splitlines()
