package seed

// A department is a root of the category tree, with the words that its products
// are made of.
type department struct {
	name           string
	groups         []group
	materials      []string
	sizes          []string
	cheap, dear    int64 // the range of prices, in minor units
	use, care      []string
	sizeAdds       int64 // what each larger size adds, in percent
	materialIsFirm bool  // "solid oak" rather than "soft oak"
}

type group struct {
	name   string
	leaves []leaf
}

// A leaf category with the nouns of its products.
type leaf struct {
	name  string
	nouns []string
}

func one(name string, nouns ...string) leaf { return leaf{name, nouns} }

var (
	metricSizes  = []string{"small", "medium", "large"}
	bodySizes    = []string{"xs", "s", "m", "l", "xl"}
	colors       = []string{"black", "white", "sand", "grey", "navy", "forest", "rust", "red", "ochre", "blush", "sky", "charcoal"}
	series       = []string{"Halden", "Arden", "Marlow", "Brena", "Tova", "Linden", "Orsa", "Calder", "Vega", "Nora", "Sund", "Elm", "Fjell", "Rowan", "Alba", "Kestrel", "Moss", "Lumen", "Juno", "Hollis", "Ravn", "Selby", "Tarn", "Wren", "Isla", "Bodega", "Corso", "Delft", "Ember", "Garda", "Harlow", "Ilse", "Jarl", "Kinross", "Lagom", "Mira", "Nesso", "Otto", "Pavia", "Quill"}
	firstPraise  = []string{"Made to be used every day and to look better for it", "A quiet design that leaves out what is not needed", "Small workshops make it in short runs", "Designed with people who use one all week", "A classic shape, drawn again with better materials", "Light enough to move and sturdy enough to keep"}
	lastSentence = []string{"Spare parts stay available for ten years.", "Ships flat in recycled cardboard.", "Each piece differs a little in colour and grain.", "Comes with a guarantee of five years.", "Packed without plastic."}
)

var departments = []department{
	{
		name: "Furniture", materials: []string{"Walnut", "Oak", "Ash", "Birch", "Rattan", "Velvet", "Leather", "Steel"}, sizes: metricSizes,
		cheap: 8900, dear: 189900, sizeAdds: 18, materialIsFirm: true,
		use:  []string{"It suits small flats as well as long halls", "It takes daily use by a family without a creak"},
		care: []string{"Wipe it with a damp cloth and oil it once a year", "Felt pads for the feet are in the box"},
		groups: []group{
			{"Seating", []leaf{one("Lounge Chairs", "Lounge Chair", "Armchair"), one("Dining Chairs", "Dining Chair", "Side Chair"), one("Sofas", "Sofa", "Loveseat")}},
			{"Tables", []leaf{one("Coffee Tables", "Coffee Table", "Nesting Table"), one("Dining Tables", "Dining Table", "Extending Table"), one("Bedside Tables", "Bedside Table", "Nightstand")}},
			{"Storage", []leaf{one("Shelves", "Wall Shelf", "Bookcase"), one("Sideboards", "Sideboard", "Console"), one("Wardrobes", "Wardrobe", "Clothes Rail")}},
			{"Beds", []leaf{one("Bed Frames", "Bed Frame", "Platform Bed"), one("Headboards", "Headboard"), one("Benches", "Bench", "Storage Bench")}},
		},
	},
	{
		name: "Kitchen", materials: []string{"Copper", "Steel", "Cast Iron", "Stoneware", "Bamboo", "Glass", "Enamel", "Marble"}, sizes: metricSizes,
		cheap: 695, dear: 24900, sizeAdds: 25, materialIsFirm: true,
		use:  []string{"It goes from the hob to the table", "It is at home on gas and induction alike"},
		care: []string{"Wash it by hand and dry it at once", "It may go into the dishwasher"},
		groups: []group{
			{"Cookware", []leaf{one("Pans", "Frying Pan", "Saute Pan"), one("Pots", "Stock Pot", "Casserole"), one("Kettles", "Kettle", "Teapot")}},
			{"Tableware", []leaf{one("Plates", "Dinner Plate", "Side Plate"), one("Bowls", "Soup Bowl", "Serving Bowl"), one("Mugs", "Mug", "Espresso Cup")}},
			{"Tools", []leaf{one("Knives", "Chef Knife", "Paring Knife"), one("Boards", "Cutting Board", "Cheese Board"), one("Utensils", "Ladle", "Whisk", "Spatula")}},
			{"Pantry", []leaf{one("Jars", "Storage Jar", "Canister"), one("Bread", "Bread Bin", "Proofing Basket"), one("Mills", "Pepper Mill", "Salt Mill")}},
		},
	},
	{
		name: "Lighting", materials: []string{"Brass", "Linen", "Glass", "Paper", "Steel", "Ceramic", "Rattan"}, sizes: metricSizes,
		cheap: 1995, dear: 59900, sizeAdds: 22,
		use:  []string{"The light is warm and does not glare", "It dims down to the glow of a candle"},
		care: []string{"Dust the shade with a dry cloth", "A bulb is in the box"},
		groups: []group{
			{"Ceiling", []leaf{one("Pendants", "Pendant Lamp", "Cluster Pendant"), one("Chandeliers", "Chandelier"), one("Flush Mounts", "Flush Light", "Spot Light")}},
			{"Floor", []leaf{one("Floor Lamps", "Floor Lamp", "Arc Lamp"), one("Reading Lamps", "Reading Lamp"), one("Tripods", "Tripod Lamp")}},
			{"Table", []leaf{one("Table Lamps", "Table Lamp", "Accent Lamp"), one("Desk Lamps", "Desk Lamp", "Task Light"), one("Lanterns", "Lantern", "Candle Holder")}},
			{"Wall", []leaf{one("Sconces", "Wall Sconce", "Wall Light"), one("Picture Lights", "Picture Light"), one("Night Lights", "Night Light")}},
		},
	},
	{
		name: "Textiles", materials: []string{"Linen", "Wool", "Cotton", "Cashmere", "Jute", "Velvet", "Mohair"}, sizes: metricSizes,
		cheap: 1295, dear: 49900, sizeAdds: 35,
		use:  []string{"It is soft from the first day", "It keeps warm in winter and breathes in summer"},
		care: []string{"Wash it at 30 degrees and dry it in the air", "Air it rather than wash it"},
		groups: []group{
			{"Bedding", []leaf{one("Duvet Covers", "Duvet Cover"), one("Sheets", "Fitted Sheet", "Flat Sheet"), one("Pillowcases", "Pillowcase", "Pillow Sham")}},
			{"Living", []leaf{one("Cushions", "Cushion", "Bolster"), one("Throws", "Throw", "Blanket"), one("Curtains", "Curtain", "Sheer Curtain")}},
			{"Rugs", []leaf{one("Woven Rugs", "Woven Rug", "Kilim"), one("Runners", "Runner"), one("Door Mats", "Door Mat")}},
			{"Bath", []leaf{one("Towels", "Bath Towel", "Hand Towel"), one("Bath Mats", "Bath Mat"), one("Robes", "Bathrobe", "Kimono Robe")}},
		},
	},
	{
		name: "Garden", materials: []string{"Teak", "Terracotta", "Steel", "Willow", "Granite", "Cedar", "Zinc"}, sizes: metricSizes,
		cheap: 495, dear: 79900, sizeAdds: 28, materialIsFirm: true,
		use:  []string{"Rain and frost do it no harm", "It stands firm on grass and gravel"},
		care: []string{"Store it dry in winter", "It greys with grace if you let it"},
		groups: []group{
			{"Planting", []leaf{one("Pots and Planters", "Planter", "Flower Pot"), one("Raised Beds", "Raised Bed", "Herb Trough"), one("Trellises", "Trellis", "Plant Stand")}},
			{"Garden Tools", []leaf{one("Spades", "Spade", "Border Fork"), one("Shears", "Hedge Shears", "Secateurs"), one("Watering", "Watering Can", "Rain Barrel")}},
			{"Outdoor Living", []leaf{one("Garden Chairs", "Garden Chair", "Deck Chair"), one("Garden Tables", "Garden Table", "Bistro Table"), one("Fire Bowls", "Fire Bowl", "Brazier")}},
			{"Wildlife", []leaf{one("Bird Houses", "Bird House", "Nest Box"), one("Feeders", "Bird Feeder"), one("Insect Hotels", "Insect Hotel")}},
		},
	},
	{
		name: "Office", materials: []string{"Oak", "Steel", "Felt", "Cork", "Leather", "Aluminium", "Walnut"}, sizes: metricSizes,
		cheap: 595, dear: 99900, sizeAdds: 20,
		use:  []string{"It keeps a desk clear for the work at hand", "It fits the home as well as the office"},
		care: []string{"Wipe it with a dry cloth", "All screws can be tightened from the front"},
		groups: []group{
			{"Desks", []leaf{one("Writing Desks", "Writing Desk", "Secretary"), one("Standing Desks", "Standing Desk", "Desk Riser"), one("Desk Pads", "Desk Pad", "Mouse Pad")}},
			{"Office Chairs", []leaf{one("Task Chairs", "Task Chair"), one("Stools", "Stool", "Saddle Stool"), one("Foot Rests", "Foot Rest")}},
			{"Organisers", []leaf{one("Trays", "Letter Tray", "Valet Tray"), one("Pen Holders", "Pen Holder", "Pencil Case"), one("Magazine Files", "Magazine File", "Document Box")}},
			{"Stationery", []leaf{one("Notebooks", "Notebook", "Journal"), one("Calendars", "Desk Calendar", "Wall Calendar"), one("Boards and Pins", "Pin Board", "Memo Board")}},
		},
	},
	{
		name: "Clothing", materials: []string{"Wool", "Linen", "Cotton", "Merino", "Denim", "Cashmere", "Canvas"}, sizes: bodySizes,
		cheap: 1495, dear: 34900, sizeAdds: 0,
		use:  []string{"It is cut with room to move", "It layers well over a shirt"},
		care: []string{"Wash it inside out with like colours", "Fold it rather than hang it"},
		groups: []group{
			{"Outerwear", []leaf{one("Coats", "Overcoat", "Duffle Coat"), one("Jackets", "Chore Jacket", "Field Jacket"), one("Vests", "Vest", "Gilet")}},
			{"Tops", []leaf{one("Shirts", "Shirt", "Overshirt"), one("Jumpers", "Jumper", "Cardigan"), one("T-Shirts", "T-Shirt", "Henley")}},
			{"Bottoms", []leaf{one("Trousers", "Trousers", "Chinos"), one("Shorts", "Shorts"), one("Skirts", "Skirt", "Pleated Skirt")}},
			{"Accessories", []leaf{one("Scarves", "Scarf", "Shawl"), one("Hats", "Beanie", "Bucket Hat"), one("Socks", "Socks", "Boot Socks")}},
		},
	},
	{
		name: "Travel", materials: []string{"Canvas", "Leather", "Nylon", "Waxed Cotton", "Wool", "Aluminium"}, sizes: metricSizes,
		cheap: 995, dear: 64900, sizeAdds: 24,
		use:  []string{"It fits under the seat in front", "It shrugs off a shower"},
		care: []string{"Wax it once a season", "Clean it with a soft brush"},
		groups: []group{
			{"Luggage", []leaf{one("Suitcases", "Suitcase", "Cabin Case"), one("Duffels", "Duffel Bag", "Weekender"), one("Garment Bags", "Garment Bag")}},
			{"Bags", []leaf{one("Backpacks", "Backpack", "Rucksack"), one("Totes", "Tote Bag", "Shopper"), one("Messengers", "Messenger Bag", "Briefcase")}},
			{"Small Goods", []leaf{one("Wallets", "Wallet", "Card Holder"), one("Wash Bags", "Wash Bag", "Packing Cube"), one("Key Rings", "Key Ring", "Luggage Tag")}},
			{"Camp", []leaf{one("Bottles", "Water Bottle", "Vacuum Flask"), one("Camp Blankets", "Camp Blanket"), one("Camp Kitchen", "Camp Stove", "Mess Kit")}},
		},
	},
}
